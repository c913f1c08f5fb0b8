"""How far this Mask R-CNN is from what torchvision's computed (tests/fixtures/maskrcnn.npz).

KERAS_BACKEND=jax python -m tests.parity [v1] [v2]
"""

import json
import sys
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).parent / "fixtures" / "maskrcnn.npz"
KINDS = ("v1", "v2")
LOSSES = {
    "rpn_score": "loss_objectness",
    "rpn_box": "loss_rpn_box_reg",
    "class": "loss_classifier",
    "box": "loss_box_reg",
    "mask": "loss_mask",
}
LIMITS = {  # px, shares, counts; gradients relative to their norm
    "batch": 1e-5,
    "levels": 1e-4,
    "proposals": 1e-3,
    "boxes": 1e-3,
    "scores": 1e-5,
    "labels": 0,
    "pixels": 0,
    "losses": 1e-5,
    "gradients": 1e-4,
}
SIZES = {"min_size": 112, "max_size": 160}
EVERYTHING = {
    "anchor_samples": 10**6,
    "box_samples": 2400,
    "box_fraction": 0.1,
}  # nothing is drawn at random


def load(kind, path=FIXTURE):
    """Return what torchvision computed for a network, {name: array}."""
    with np.load(path) as data:
        return {k[len(kind) + 1 :]: data[k] for k in data.files if k.startswith(f"{kind}/")}


def part(arrays, prefix):
    """Return the arrays of a prefix, by the rest of their names."""
    return {k[len(prefix) + 1 :]: v for k, v in arrays.items() if k.startswith(f"{prefix}/")}


def network_for(kind, arrays, **settings):
    """Return this repository's network with the weights of torchvision's."""
    from models.maskrcnn.weights import network_of

    eps = {"v1": 0.0, "v2": 1e-5}[kind]
    return network_of(part(arrays, "state"), **{"norm_eps": eps, **SIZES, **settings})


def images_of(arrays):
    """Return the two pictures (H, W, 3) uint8."""
    return [arrays["image/0"], arrays["image/1"]]


def inference(network, arrays):
    """Return the worst difference of each stage of inference."""
    from keras import ops

    from models.networks.transform import batch_of, paste, resize_boxes

    images = images_of(arrays)
    batch = batch_of(images, network.config)
    result = {"batch": float(np.abs(batch["images"] - arrays["batch"]).max())}
    inputs = {k: ops.convert_to_tensor(v) for k, v in batch.items()}

    def stages(inputs):
        levels = network.features(inputs["images"], inputs["sizes"])
        boxes, real, _ = network.proposals(levels, inputs, False)
        return levels, boxes, real, network.detect(levels, boxes, real, inputs["sizes"])

    levels, boxes, real, found = at_once(stages)(inputs)
    result["levels"] = max(
        float(np.abs(ops.convert_to_numpy(f) - arrays[f"level/{k}"]).max())
        / float(np.abs(arrays[f"level/{k}"]).max())
        for k, f in enumerate(levels)
    )
    boxes, real = ops.convert_to_numpy(boxes), ops.convert_to_numpy(real)
    result["proposals"] = max(
        nearest(boxes[i][real[i]], arrays[f"proposals/{i}"]) for i in range(len(images))
    )
    found = {k: ops.convert_to_numpy(v) for k, v in found.items()}
    result |= dict.fromkeys(("boxes", "scores"), 0.0) | dict.fromkeys(("labels", "pixels"), 0)
    for i, image in enumerate(images):
        rows, size = found["real"][i], image.shape[:2]
        own = resize_boxes(found["boxes"][i][rows], batch["sizes"][i], size)
        theirs = part(arrays, f"found/{i}")
        if len(own) != len(theirs["boxes"]):
            return {**result, "boxes": float("inf"), "labels": abs(len(own) - len(theirs["boxes"]))}
        masks = np.unpackbits(theirs["masks"], count=len(own) * size[0] * size[1])
        for k, mask in enumerate(masks.reshape(-1, *size)):
            values, x, y = paste(found["masks"][i][rows][k], own[k], *size)
            full = np.zeros(size, bool)
            full[y : y + values.shape[0], x : x + values.shape[1]] = values > 0.5
            result["pixels"] += int((full != mask).sum())
        result["boxes"] = max(result["boxes"], worst(own, theirs["boxes"]))
        result["scores"] = max(result["scores"], worst(found["scores"][i][rows], theirs["scores"]))
        result["labels"] += int((found["labels"][i][rows] != theirs["labels"]).sum())
    return result


def at_once(function):
    """Return a function compiled as a whole where steps one by one are slow."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


def worst(ours, theirs):
    """Return the largest difference of two arrays."""
    return float(np.abs(ours - theirs).max()) if ours.size else 0.0


def nearest(ours, theirs):
    """Return the largest distance of a box to the nearest of the others, both ways."""
    if len(ours) != len(theirs):
        return float("inf")
    apart = np.abs(ours[:, None] - theirs[None]).max(axis=-1)
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def training_batch(network, arrays):
    """Return a training batch: pictures and their objects."""
    from models.networks.transform import batch_of, resize_boxes, resize_masks

    images = images_of(arrays)
    batch = batch_of(images, network.config)
    boxes, masks = [], np.zeros((2, 3, *batch["images"].shape[1:3]), np.uint8)
    for i, image in enumerate(images):
        target, size = part(arrays, f"target/{i}"), batch["sizes"][i].astype(int)
        boxes.append(resize_boxes(target["boxes"], image.shape[:2], size))
        masks[i, :, : size[0], : size[1]] = resize_masks(target["masks"], tuple(size))
    labels = np.stack([arrays[f"target/{i}/labels"] for i in range(2)]).astype(np.int32)
    return batch | {"boxes": np.stack(boxes), "labels": labels, "masks": masks}


def training(network, arrays, gradients=True):
    """Return the worst difference of the losses, and of the gradients."""
    from models.maskrcnn.weights import translated

    terms, slopes = losses_of(network, training_batch(network, arrays), gradients)
    result = {
        "losses": max(
            abs(terms[name] - float(arrays[f"loss/{other}"])) / max(1, terms[name])
            for name, other in LOSSES.items()
        )
    }
    if gradients:
        theirs = translated(part(arrays, "grad"), network.config.box_size)
        result["gradients"] = max(
            float(np.linalg.norm(slopes[k] - v) / np.linalg.norm(v)) for k, v in theirs.items()
        )
    return result


def forward(network, inputs):
    """Return the losses; as one graph where box by box is slow."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return network(inputs, training=True)
    import tensorflow as tf

    return tf.function(lambda: network(inputs, training=True), autograph=False)()


def losses_of(network, batch, gradients=True):
    """Return {loss: value} and {"layer/variable": gradient} of a batch, whatever the backend."""
    import keras

    from models.networks.frame_network import variables_of

    for layer in network.backbone.layers:  # as the fixture has it
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    names = {id(v): name for name, v in variables_of(network).items()}
    inputs = {k: keras.ops.convert_to_tensor(v) for k, v in batch.items()}
    trained = network.trainable_variables
    if not gradients:
        terms = forward(network, inputs)
        return {k: float(keras.ops.convert_to_numpy(v)) for k, v in terms.items()}, {}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape() as tape:
                terms = network(inputs, training=True)
                total = network.total(terms)
            values = [v.value for v in trained]
            return terms, tape.gradient(total, values)

        terms, slopes = step()
    else:
        import jax

        fixed = [v.value for v in network.non_trainable_variables]

        def total(values):
            terms, _ = network.stateless_call(values, fixed, inputs, training=True)
            return network.total(terms), terms

        step = jax.jit(jax.value_and_grad(total, has_aux=True))
        (_, terms), slopes = step([v.value for v in trained])
    convert = keras.ops.convert_to_numpy
    by_name = {
        names[id(v)]: convert(g) for v, g in zip(trained, slopes, strict=False) if g is not None
    }
    return {k: float(convert(v)) for k, v in terms.items()}, by_name


def limits_of(arrays):
    """Return the limits; gradients cannot be nearer than torchvision's own to double precision."""
    return LIMITS | {"gradients": max(LIMITS["gradients"], 2 * float(arrays["noise"]))}


def differences(kind, path=FIXTURE):
    """Return the worst difference of every stage."""
    arrays = load(kind, path)
    found = inference(network_for(kind, arrays), arrays)
    return found | training(network_for(kind, arrays, **EVERYTHING), arrays)


if __name__ == "__main__":
    from utils.cli import import_keras, quiet_tensorflow

    quiet_tensorflow()
    import_keras()
    print(json.dumps({kind: differences(kind) for kind in sys.argv[1:] or KINDS}))
