/** Stands for Android's widgets: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.widget

import android.graphics.Bitmap
import android.view.View

class ImageView : View() {
    fun setImageBitmap(bitmap: Bitmap?): Unit = TODO()
}

class TextView : View() {
    var text: CharSequence
        get() = TODO()
        set(_) = TODO()

    fun setText(id: Int): Unit = TODO()
}
