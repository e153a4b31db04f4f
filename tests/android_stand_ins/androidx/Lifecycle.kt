/** Stands for androidx.lifecycle: declarations that the app calls, written by hand after the reference pages; nothing works. */
package androidx.lifecycle

interface LifecycleOwner
