/** Stands for the constants of Android's permissions: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android

object Manifest {
    object permission {
        const val CAMERA = "android.permission.CAMERA"
    }
}
