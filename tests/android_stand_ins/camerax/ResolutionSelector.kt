/** Stands for camera-core of CameraX: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.camera.core.resolutionselector

import android.util.Size

class ResolutionStrategy(size: Size, fallback: Int) {
    companion object {
        const val FALLBACK_RULE_CLOSEST_HIGHER_THEN_LOWER = 2
    }
}

class ResolutionSelector private constructor() {
    class Builder {
        fun setResolutionStrategy(strategy: ResolutionStrategy): Builder = TODO()

        fun build(): ResolutionSelector = TODO()
    }
}
