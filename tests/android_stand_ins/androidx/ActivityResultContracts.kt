/** Stands for androidx.activity.result.contract: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.activity.result.contract

abstract class ActivityResultContract<I, O>

object ActivityResultContracts {
    class RequestPermission : ActivityResultContract<String, Boolean>()
}
