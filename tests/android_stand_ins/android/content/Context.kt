/** Stands for Android's Context, which activities are: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.content

import android.content.res.AssetManager

abstract class Context {
    val assets: AssetManager get() = TODO()

    fun getString(id: Int, vararg values: Any): String = TODO()
}
