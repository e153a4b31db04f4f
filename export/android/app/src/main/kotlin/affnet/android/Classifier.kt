package affnet.android

import android.content.res.AssetManager
import android.util.Log
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.io.Closeable

private const val TAG = "affnet"
private const val MODEL_FILE = "model.tflite"
private const val RECIPE_FILE = "recipe.json"
private const val CLASSIFY = "classify"
private const val MOTION_IMAGE = "motion_image"
private const val PROBABILITIES = "probabilities"

/**
 * An exported network, through its signature `classify`: a motion image in, probabilities out.
 *
 * Integers are quantised here, by what the file itself says. Not for several threads at once.
 */
class Classifier private constructor(
    val recipe: Recipe,
    val accelerator: Accelerator,
    private val ends: Ends,
    private val model: CompiledModel,
) : Closeable {
    /** The two tensors of the signature. */
    private data class Ends(val input: Tensor, val output: Tensor)

    private val input: TensorBuffer = model.createInputBuffer(MOTION_IMAGE, CLASSIFY)
    private val output: TensorBuffer = model.createOutputBuffer(PROBABILITIES, CLASSIFY)

    /** The probability of each label; [image] is in [0, 1], rows first, channels last. */
    fun classify(image: FloatArray): FloatArray {
        if (ends.input.type == Tensor.Type.INT8) {
            input.writeInt8(quantise(image, ends.input.scale, ends.input.zeroPoint))
        } else {
            input.writeFloat(image)
        }
        model.run(mapOf(MOTION_IMAGE to input), mapOf(PROBABILITIES to output), CLASSIFY)
        return if (ends.output.type == Tensor.Type.INT8) {
            dequantise(output.readInt8(), ends.output.scale, ends.output.zeroPoint)
        } else {
            output.readFloat()
        }
    }

    override fun close() {
        input.close()
        output.close()
        model.close()
    }

    companion object {
        /**
         * Load the bundle in the app's assets: a float network on the GPU, if that answers [trialImages] as the CPU does,
         * everything else on the CPU, whose integer kernels are what an int8 file is made for. Logcat says why a GPU is not used.
         */
        fun load(assets: AssetManager): Classifier {
            val recipe = Recipe.parse(assets.open(RECIPE_FILE).use { it.reader().readText() })
            val file = TfliteFile(assets.open(MODEL_FILE).use { it.readBytes() })
            val ends = Ends(file.input(CLASSIFY, MOTION_IMAGE), file.output(CLASSIFY, PROBABILITIES))
            check(ends, recipe)
            val cpu = create(assets, recipe, ends, Accelerator.CPU)
            if (ends.input.type != Tensor.Type.FLOAT32) return cpu
            val images = trialImages(recipe.inputSize)
            val gpu = tryGpu(assets, cpu, images, images.map(cpu::classify)) ?: return cpu
            cpu.close()
            return gpu
        }

        private fun create(assets: AssetManager, recipe: Recipe, ends: Ends, accelerator: Accelerator): Classifier {
            val model = CompiledModel.create(assets, MODEL_FILE, CompiledModel.Options(accelerator))
            return try {
                Classifier(recipe, accelerator, ends, model)
            } catch (error: LiteRtException) {
                model.close()
                throw error
            }
        }

        /**
         * Null where there is no GPU that runs the file as the CPU does.
         *
         * [Accelerator.GPU] alone: beside [Accelerator.CPU] a GPU that is missing would not be told from one that runs.
         */
        private fun tryGpu(
            assets: AssetManager,
            cpu: Classifier,
            images: List<FloatArray>,
            expected: List<FloatArray>,
        ): Classifier? {
            val gpu = try {
                create(assets, cpu.recipe, cpu.ends, Accelerator.GPU)
            } catch (error: LiteRtException) {
                return refused("does not load the file; it takes the library litert-gpu and a driver: $error")
            }
            val reason = try {
                refusal(images, expected, gpu::classify) ?: return gpu
            } catch (error: LiteRtException) {
                "fails: $error"
            }
            gpu.close()
            return refused(reason)
        }

        private fun refused(reason: String): Classifier? {
            Log.w(TAG, "on the CPU, since the GPU $reason")
            return null
        }

        private fun check(ends: Ends, recipe: Recipe) {
            for (tensor in listOf(ends.input, ends.output)) {
                val known = tensor.type == Tensor.Type.FLOAT32 || (tensor.type == Tensor.Type.INT8 && tensor.scale > 0)
                require(known) { "the model must take and give float32 or int8. Received: ${tensor.type}" }
            }
            val size = recipe.inputSize
            require(ends.input.shape == listOf(1, size, size, CHANNELS)) {
                "the model must take motion images of $size x $size, as recipe.json says. Received: ${ends.input.shape}"
            }
            require(ends.output.shape.last() == recipe.labels.size) {
                "the model must have ${recipe.labels.size} classes, as recipe.json says. Received: ${ends.output.shape.last()}"
            }
        }
    }
}
