package android.view;

import android.content.Context;

/**
 * Stands for Android's OrientationEventListener, as the rest of this folder; in Java, since in Kotlin its constant would lie in a
 * companion object, which `this` means where a subclass calls the constructor.
 */
public abstract class OrientationEventListener {
    public static final int ORIENTATION_UNKNOWN = -1;

    public OrientationEventListener(Context context) {
    }

    public abstract void onOrientationChanged(int degrees);

    public void enable() {
    }

    public void disable() {
    }
}
