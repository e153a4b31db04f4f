/** Stands for ML Kit: declarations that the app calls, written by hand after the reference pages; nothing works. */
package com.google.mlkit.vision.common

import android.graphics.Bitmap

class InputImage private constructor() {
    companion object {
        fun fromBitmap(bitmap: Bitmap, degrees: Int): InputImage = TODO()
    }
}
