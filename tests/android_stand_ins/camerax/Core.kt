/** Stands for camera-core of CameraX: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.camera.core

import android.graphics.Bitmap
import androidx.camera.core.resolutionselector.ResolutionSelector
import java.nio.ByteBuffer
import java.util.concurrent.Executor

interface Camera

class CameraSelector {
    companion object {
        val DEFAULT_FRONT_CAMERA: CameraSelector get() = TODO()
    }
}

abstract class UseCase {
    companion object {
        fun snapToSurfaceRotation(degrees: Int): Int = TODO()
    }
}

class Preview private constructor() : UseCase() {
    fun interface SurfaceProvider {
        fun onSurfaceRequested(request: Any)
    }

    var surfaceProvider: SurfaceProvider?
        get() = TODO()
        set(_) = TODO()

    class Builder {
        fun build(): Preview = TODO()
    }
}

interface ImageInfo {
    val timestamp: Long
    val rotationDegrees: Int
}

interface ImageProxy : AutoCloseable {
    val width: Int
    val height: Int
    val imageInfo: ImageInfo
    val planes: Array<PlaneProxy>

    fun toBitmap(): Bitmap

    override fun close()

    interface PlaneProxy {
        val buffer: ByteBuffer
        val rowStride: Int
    }
}

class ImageAnalysis private constructor() : UseCase() {
    var targetRotation: Int
        get() = TODO()
        set(_) = TODO()

    fun setAnalyzer(executor: Executor, analyzer: Analyzer): Unit = TODO()

    fun clearAnalyzer(): Unit = TODO()

    fun interface Analyzer {
        fun analyze(image: ImageProxy)
    }

    class Builder {
        fun setResolutionSelector(selector: ResolutionSelector): Builder = TODO()

        fun setBackpressureStrategy(strategy: Int): Builder = TODO()

        fun setOutputImageFormat(format: Int): Builder = TODO()

        fun setOutputImageRotationEnabled(enabled: Boolean): Builder = TODO()

        fun build(): ImageAnalysis = TODO()
    }

    companion object {
        const val STRATEGY_KEEP_ONLY_LATEST = 0
        const val OUTPUT_IMAGE_FORMAT_RGBA_8888 = 2
    }
}
