plugins {
    id("com.android.application")
}

android {
    namespace = "affnet.android"
    compileSdk = 36

    defaultConfig {
        applicationId = "affnet.android"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    val camera = "1.6.2"
    implementation("androidx.camera:camera-core:$camera")
    implementation("androidx.camera:camera-camera2:$camera")
    implementation("androidx.camera:camera-lifecycle:$camera")
    implementation("androidx.camera:camera-view:$camera")
    implementation("androidx.core:core-ktx:1.15.0")
    implementation("androidx.activity:activity:1.10.1")
    // The detector's model comes inside the app: faces are found without a network.
    implementation("com.google.mlkit:face-detection:16.1.7")
    val litert = "2.3.0"
    implementation("com.google.ai.edge.litert:litert:$litert")
    // The GPU's library: without it a float network runs on the CPU.
    implementation("com.google.ai.edge.litert:litert-gpu:$litert")
    testImplementation("junit:junit:4.13.2")
}
