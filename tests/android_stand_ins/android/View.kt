/** Stands for Android's views and windows: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.view

open class View

abstract class Window {
    fun addFlags(flags: Int): Unit = TODO()
}

object WindowManager {
    object LayoutParams {
        const val FLAG_KEEP_SCREEN_ON = 128
    }
}
