package affnet.android

import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import com.google.mlkit.vision.common.InputImage
import com.google.mlkit.vision.face.FaceDetection
import com.google.mlkit.vision.face.FaceDetector
import com.google.mlkit.vision.face.FaceDetectorOptions
import com.google.mlkit.vision.face.FaceLandmark
import java.io.Closeable
import java.util.concurrent.Executor
import com.google.mlkit.vision.face.Face as DetectedFace

/** What there is to show after a frame. */
sealed interface Reading {
    data object NoFace : Reading

    data class Filling(val seen: Int, val length: Int) : Reading

    /** [motionImage] has the side [size]; [rate] is in frames per second. */
    class Answer(
        val label: String,
        val confidence: Float,
        val motionImage: FloatArray,
        val size: Int,
        val rate: Double,
    ) : Reading

    class Failed(val message: String) : Reading
}

/**
 * Frames in, readings out: crop, sliding motion image, network, for every frame that the camera gives.
 *
 * Everything that changes here changes on [executor], a single thread. Faces are looked for beside it, one frame at a time, so
 * that the detector never slows the frames down; its answer comes back to the same thread, a few frames late.
 */
class FrameAnalyzer(
    private val classifier: Classifier,
    private val executor: Executor,
    private val show: (Reading) -> Unit,
) : ImageAnalysis.Analyzer, Closeable {
    private val recipe = classifier.recipe
    private val window =
        LiveWindow(recipe.window, recipe.weights, recipe.scaling, recipe.frameSize, recipe.inputSize, recipe.margin)
    private val detector: FaceDetector = FaceDetection.getClient(
        FaceDetectorOptions.Builder()
            .setPerformanceMode(FaceDetectorOptions.PERFORMANCE_MODE_FAST)
            .setLandmarkMode(FaceDetectorOptions.LANDMARK_MODE_ALL)
            .setMinFaceSize(0.2f)
            .build(),
    )
    /** Where the network runs. */
    val accelerator: String = classifier.accelerator.name
    private var detecting = false
    private var closed = false
    private var pixels = ByteArray(0)
    private var lastNanos = 0L
    private var rate = 0.0

    /** Called on [executor] by CameraX, which drops the frames that come meanwhile. */
    override fun analyze(image: ImageProxy) = image.use { frame ->
        if (!closed) show(read(frame))
    }

    private fun read(frame: ImageProxy): Reading = try {
        if (!detecting) detect(frame)
        measureRate(frame.imageInfo.timestamp)
        val plane = frame.planes[0]
        val buffer = plane.buffer.apply { rewind() }
        if (pixels.size != buffer.remaining()) pixels = ByteArray(buffer.remaining())
        buffer.get(pixels)
        val nanos = frame.imageInfo.timestamp
        val image = window.push(pixels, frame.width, frame.height, plane.rowStride, nanos)
        when {
            image != null -> answer(image)
            window.watching -> Reading.Filling(window.seen, window.length)
            else -> Reading.NoFace
        }
    } catch (error: Exception) {
        Reading.Failed(error.message ?: error.javaClass.simpleName)
    }

    private fun answer(image: FloatArray): Reading {
        val probabilities = classifier.classify(image)
        val best = probabilities.indices.maxBy { probabilities[it] }
        return Reading.Answer(recipe.labels[best], probabilities[best], image, recipe.inputSize, rate)
    }

    private fun detect(frame: ImageProxy) {
        detecting = true
        // A copy: the detector goes on with it when the frame has long been given back.
        val copy = InputImage.fromBitmap(frame.toBitmap(), frame.imageInfo.rotationDegrees)
        detector.process(copy).addOnCompleteListener(executor) { task ->
            detecting = false
            if (!closed) window.see(if (task.isSuccessful) main(task.result) else null)
        }
    }

    /** The largest face of which both eyes were found. */
    private fun main(faces: List<DetectedFace>): Face? =
        faces.sortedByDescending { it.boundingBox.width() * it.boundingBox.height() }.firstNotNullOfOrNull { face ->
            val one = eye(face, FaceLandmark.LEFT_EYE)
            val other = eye(face, FaceLandmark.RIGHT_EYE)
            if (one == null || other == null) null else Face.of(face.boundingBox.height().toDouble(), one, other)
        }

    private fun eye(face: DetectedFace, which: Int): Point? =
        face.getLandmark(which)?.position?.let { Point(it.x.toDouble(), it.y.toDouble()) }

    private fun measureRate(nanos: Long) {
        val step = nanos - lastNanos
        lastNanos = nanos
        if (step <= 0 || step > LiveWindow.GAP_NANOS) return
        val now = 1e9 / step
        rate = if (rate == 0.0) now else 0.95 * rate + 0.05 * now
    }

    /** On [executor]. */
    override fun close() {
        closed = true
        detector.close()
        classifier.close()
    }
}
