/** Stands for Android's bitmaps, points and rectangles: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.graphics

class Bitmap {
    enum class Config { ARGB_8888 }

    companion object {
        fun createBitmap(colours: IntArray, width: Int, height: Int, config: Config): Bitmap = TODO()
    }
}

class PointF {
    val x: Float get() = TODO()
    val y: Float get() = TODO()
}

class Rect {
    fun width(): Int = TODO()

    fun height(): Int = TODO()
}
