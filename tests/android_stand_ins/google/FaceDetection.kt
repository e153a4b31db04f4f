/** Stands for ML Kit's face detection: declarations that the app calls, written by hand after the reference pages; nothing works. */
package com.google.mlkit.vision.face

import android.graphics.PointF
import android.graphics.Rect
import com.google.android.gms.tasks.Task
import com.google.mlkit.vision.common.InputImage
import java.io.Closeable

class Face private constructor() {
    val boundingBox: Rect get() = TODO()

    fun getLandmark(type: Int): FaceLandmark? = TODO()
}

class FaceLandmark private constructor() {
    val position: PointF get() = TODO()

    companion object {
        const val LEFT_EYE = 4
        const val RIGHT_EYE = 10
    }
}

interface FaceDetector : Closeable {
    fun process(image: InputImage): Task<List<Face>>
}

class FaceDetectorOptions private constructor() {
    class Builder {
        fun setPerformanceMode(mode: Int): Builder = TODO()

        fun setLandmarkMode(mode: Int): Builder = TODO()

        fun setMinFaceSize(size: Float): Builder = TODO()

        fun build(): FaceDetectorOptions = TODO()
    }

    companion object {
        const val PERFORMANCE_MODE_FAST = 1
        const val LANDMARK_MODE_ALL = 2
    }
}

object FaceDetection {
    fun getClient(options: FaceDetectorOptions): FaceDetector = TODO()
}
