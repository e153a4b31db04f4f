/** Stands for androidx.activity, with what it inherits of Android's Activity: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.activity

import android.content.Context
import android.os.Bundle
import android.view.View
import android.view.Window
import androidx.activity.result.ActivityResultCallback
import androidx.activity.result.ActivityResultLauncher
import androidx.activity.result.contract.ActivityResultContract
import androidx.lifecycle.LifecycleOwner

open class ComponentActivity : Context(), LifecycleOwner {
    val window: Window get() = TODO()
    val isDestroyed: Boolean get() = TODO()

    protected open fun onCreate(savedInstanceState: Bundle?): Unit = TODO()

    protected open fun onStart(): Unit = TODO()

    protected open fun onStop(): Unit = TODO()

    protected open fun onDestroy(): Unit = TODO()

    fun setContentView(layout: Int): Unit = TODO()

    fun <T : View> findViewById(id: Int): T = TODO()

    fun runOnUiThread(task: Runnable): Unit = TODO()

    fun <I, O> registerForActivityResult(
        contract: ActivityResultContract<I, O>,
        callback: ActivityResultCallback<O>,
    ): ActivityResultLauncher<I> = TODO()
}
