package affnet.android

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.os.Bundle
import android.util.Size
import android.view.OrientationEventListener
import android.view.WindowManager
import android.widget.ImageView
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.Preview
import androidx.camera.core.UseCase
import androidx.camera.core.resolutionselector.ResolutionSelector
import androidx.camera.core.resolutionselector.ResolutionStrategy
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import androidx.core.content.ContextCompat
import java.util.concurrent.Executor
import java.util.concurrent.Executors
import java.util.concurrent.RejectedExecutionException
import kotlin.math.roundToInt

/** The front camera's picture, the label of the last frames with its confidence, and the motion image that it comes from. */
class MainActivity : ComponentActivity() {
    private val thread = Executors.newSingleThreadExecutor()

    private val executor = Executor { task ->
        try {
            thread.execute(task)
        } catch (_: RejectedExecutionException) {
            // The detector answered after the end: nobody waits for that answer.
        }
    }
    @Volatile
    private var analyzer: FrameAnalyzer? = null // made, used and closed on the thread
    private lateinit var analysis: ImageAnalysis
    private lateinit var orientation: OrientationEventListener

    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
        if (granted) start() else answerView().setText(R.string.no_camera_permission)
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.activity_main)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        analysis = imageAnalysis()
        // Frames stay upright whichever way the phone is held, also where the screen does not turn with it.
        orientation = object : OrientationEventListener(this) {
            override fun onOrientationChanged(degrees: Int) {
                if (degrees != ORIENTATION_UNKNOWN) analysis.targetRotation = UseCase.snapToSurfaceRotation(degrees)
            }
        }
        val state = ContextCompat.checkSelfPermission(this, Manifest.permission.CAMERA)
        if (state == PackageManager.PERMISSION_GRANTED) start() else permission.launch(Manifest.permission.CAMERA)
    }

    override fun onStart() {
        super.onStart()
        orientation.enable()
    }

    override fun onStop() {
        orientation.disable()
        super.onStop()
    }

    override fun onDestroy() {
        analysis.clearAnalyzer()
        thread.execute { analyzer?.close() }
        thread.shutdown()
        super.onDestroy()
    }

    /** The camera first, so that the picture is there while the network loads. CameraX follows the activity's life. */
    private fun start() {
        val future = ProcessCameraProvider.getInstance(this)
        future.addListener({ bind(future.get()) }, ContextCompat.getMainExecutor(this))
        executor.execute {
            try {
                val made = FrameAnalyzer(Classifier.load(assets), executor) { reading -> runOnUiThread { show(reading) } }
                analyzer = made
                analysis.setAnalyzer(executor, made)
            } catch (error: Exception) {
                runOnUiThread { show(Reading.Failed(error.message ?: error.javaClass.simpleName)) }
            }
        }
    }

    private fun bind(camera: ProcessCameraProvider) {
        if (isDestroyed) return
        val preview = Preview.Builder().build()
        preview.surfaceProvider = findViewById<PreviewView>(R.id.preview).surfaceProvider
        try {
            camera.unbindAll()
            camera.bindToLifecycle(this, CameraSelector.DEFAULT_FRONT_CAMERA, preview, analysis)
        } catch (error: IllegalArgumentException) { // no such camera, or not with these uses
            show(Reading.Failed(error.message ?: "no front camera"))
        }
    }

    private fun imageAnalysis(): ImageAnalysis {
        val size = ResolutionStrategy(Size(640, 480), ResolutionStrategy.FALLBACK_RULE_CLOSEST_HIGHER_THEN_LOWER)
        return ImageAnalysis.Builder()
            .setResolutionSelector(ResolutionSelector.Builder().setResolutionStrategy(size).build())
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .setOutputImageFormat(ImageAnalysis.OUTPUT_IMAGE_FORMAT_RGBA_8888)
            .setOutputImageRotationEnabled(true)
            .build()
    }

    private fun show(reading: Reading) {
        if (isDestroyed) return
        val answer = answerView()
        when (reading) {
            is Reading.NoFace -> answer.setText(R.string.no_face)
            is Reading.Filling -> answer.text = getString(R.string.filling, reading.seen, reading.length)
            is Reading.Failed -> answer.text = reading.message
            is Reading.Answer -> {
                answer.text = getString(R.string.answer, reading.label, 100 * reading.confidence)
                val accelerator = analyzer?.accelerator.orEmpty()
                findViewById<TextView>(R.id.details).text = getString(R.string.details, accelerator, reading.rate)
                findViewById<ImageView>(R.id.motion_image).setImageBitmap(bitmap(reading.motionImage, reading.size))
            }
        }
    }

    private fun answerView(): TextView = findViewById(R.id.answer)

    private fun bitmap(image: FloatArray, size: Int): Bitmap {
        val colours = IntArray(size * size) { pixel ->
            val (red, green, blue) = List(CHANNELS) { (255 * image[pixel * CHANNELS + it]).roundToInt() }
            (0xff shl 24) or (red shl 16) or (green shl 8) or blue
        }
        return Bitmap.createBitmap(colours, size, size, Bitmap.Config.ARGB_8888)
    }
}
