/** Stands for the constants of Android's PackageManager: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.content.pm

object PackageManager {
    const val PERMISSION_GRANTED = 0
}
