package affnet.android

import org.json.JSONArray
import org.json.JSONObject

/**
 * What recipe.json of an exported bundle says of the crop and of the motion image.
 *
 * @property margin room around the face, as a share of its side, as in the training clips; 0.1 if the file does not say.
 * @property window frames that a stream looks back, `--window` of the export; [WINDOW] if the file does not say.
 */
data class Recipe(
    val labels: List<String>,
    val weights: String,
    val scaling: String,
    val frameSize: Int,
    val inputSize: Int,
    val margin: Double = MARGIN,
    val window: Int = WINDOW,
) {
    companion object {
        /** Frames: half a second at 30 frames per second, the longest that a micro-expression lasts; the export's default. */
        const val WINDOW = 15

        /**
         * Read the file's text; a missing field is named by the exception.
         *
         * A network that was trained on magnified clips is refused: the app does not magnify.
         */
        fun parse(json: String): Recipe {
            val document = JSONObject(json)
            val motion = document.getJSONObject("motion")
            val representation = motion.optString("representation", "motion")
            require(representation == "motion") { "the network must see motion images. Received: $representation" }
            val crop = document.optJSONObject("crop") ?: JSONObject()
            val factor = crop.optDouble("magnify", 0.0)
            require(factor == 0.0) { "crop.magnify must be 0, since the app does not magnify motion. Received: $factor" }
            return Recipe(
                labels = document.getJSONArray("labels").strings(),
                weights = motion.getString("weights"),
                scaling = motion.getString("scaling"),
                frameSize = document.getInt("frame_size"),
                inputSize = document.getInt("input_size"),
                margin = crop.optDouble("margin", MARGIN),
                window = document.optInt("window", WINDOW),
            )
        }

        private fun JSONArray.strings() = List(length()) { getString(it) }
    }
}
