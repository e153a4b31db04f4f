// Kotlin comes with the Android plugin from 9.0 on: no Kotlin plugin beside it.
plugins {
    id("com.android.application") version "9.0.1" apply false
}
