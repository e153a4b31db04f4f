/** Stands for the future of Guava that CameraX answers with: declarations that the app calls, written by hand after the reference pages; nothing works. */
package com.google.common.util.concurrent

import java.util.concurrent.Executor
import java.util.concurrent.Future

interface ListenableFuture<V> : Future<V> {
    fun addListener(listener: Runnable, executor: Executor)
}
