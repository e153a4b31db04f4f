/** Stands for androidx.activity.result: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.activity.result

fun interface ActivityResultCallback<O> {
    fun onActivityResult(result: O)
}

abstract class ActivityResultLauncher<I> {
    fun launch(input: I): Unit = TODO()
}
