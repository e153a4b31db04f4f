/** Stands for the tasks of Play services that ML Kit answers with: declarations that the app calls, written by hand after the reference pages; nothing works. */
package com.google.android.gms.tasks

import java.util.concurrent.Executor

fun interface OnCompleteListener<T> {
    fun onComplete(task: Task<T>)
}

abstract class Task<T> {
    abstract val isSuccessful: Boolean
    abstract val result: T

    abstract fun addOnCompleteListener(executor: Executor, listener: OnCompleteListener<T>): Task<T>
}
