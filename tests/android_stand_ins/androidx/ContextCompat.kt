/** Stands for androidx.core: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.core.content

import android.content.Context
import java.util.concurrent.Executor

object ContextCompat {
    fun checkSelfPermission(context: Context, permission: String): Int = TODO()

    fun getMainExecutor(context: Context): Executor = TODO()
}
