/** Stands for Android's Log and Size: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.util

object Log {
    fun w(tag: String?, message: String): Int = TODO()
}

class Size(val width: Int, val height: Int)
