/** Stands for Android's Bundle: declarations that the app calls, written by hand after the reference pages; nothing works. */
package android.os

class Bundle
