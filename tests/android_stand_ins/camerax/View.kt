/** Stands for camera-view of CameraX: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.camera.view

import android.view.View
import androidx.camera.core.Preview

class PreviewView : View() {
    val surfaceProvider: Preview.SurfaceProvider get() = TODO()
}
