/** `FILE` prints what the app reads of a recipe.json, or why it refuses it. */
package affnet.android

import java.io.File

fun main(arguments: Array<String>) {
    try {
        println(Recipe.parse(File(arguments[0]).readText()))
    } catch (error: IllegalArgumentException) {
        println("refused: ${error.message}")
    }
}
