package affnet.android

import org.json.JSONArray
import org.json.JSONObject

/** What recipe.json of an exported bundle says of the motion image. */
data class Recipe(
    val labels: List<String>,
    val weights: String,
    val scaling: String,
    val frameSize: Int,
    val inputSize: Int,
) {
    companion object {
        /** Read the file's text; a missing field is named by the exception. */
        fun parse(json: String): Recipe {
            val document = JSONObject(json)
            val motion = document.getJSONObject("motion")
            val representation = motion.optString("representation", "motion")
            require(representation == "motion") { "the network must see motion images. Received: $representation" }
            return Recipe(
                labels = document.getJSONArray("labels").strings(),
                weights = motion.getString("weights"),
                scaling = motion.getString("scaling"),
                frameSize = document.getInt("frame_size"),
                inputSize = document.getInt("input_size"),
            )
        }

        private fun JSONArray.strings() = List(length()) { getString(it) }
    }
}
