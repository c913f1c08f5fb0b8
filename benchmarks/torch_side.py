"""What torchvision and Ultralytics make of the frames of `benchmarks.beside_torch`.

It runs in an environment of theirs, which `benchmarks.beside_torch --python` names.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

# Spread of the random class biases: enough scores exceed 0.25 for NMS to drop some boxes.
LIKELY = 4.0


def peak_mib() -> float:
    """Return the most memory that this program held; `ru_maxrss` counts what started it, too."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def mask_rcnn(folder: Path, min_size: int) -> dict[str, Any]:
    """Write weights and what torchvision's Mask R-CNN finds with them; return times and memory."""
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    fixture = import_module("tests.fixtures.make_maskrcnn")
    base = peak_mib()
    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, min_size=min_size).eval()
    frames = np.load(folder / "frames.npy")
    tensors = [torch.from_numpy(f).permute(2, 0, 1) / 255 for f in frames]
    if not (folder / "weights.pth").is_file():
        fixture.spread(model, torch.Generator().manual_seed(0))
        fixture.balance(model, model.transform(tensors[:1])[0])
        torch.save(model.state_dict(), folder / "weights.pth")
        return {}
    model.load_state_dict(torch.load(folder / "weights.pth"))
    seconds: list[float] = []
    arrays: dict[str, Any] = {}
    with torch.no_grad():
        for i, tensor in enumerate(tensors):
            start = time.perf_counter()
            found = model([tensor])[0]
            seconds.append(time.perf_counter() - start)
            arrays |= {f"{k}/{i}": found[k].numpy() for k in ("boxes", "scores", "labels")}
            arrays[f"masks/{i}"] = np.packbits(found["masks"][:, 0].numpy() > 0.5)
        times = {"seconds": float(np.median(seconds)), "MiB": peak_mib(), "libraries": base}
        model.double()  # how far rounding takes torchvision from itself
        for i, tensor in enumerate(tensors):
            masks = model([tensor.double()])[0]["masks"]
            arrays[f"double/{i}"] = np.packbits(masks[:, 0].numpy() > 0.5)
    np.savez(folder / "found.npz", **arrays)
    return times


def yolo(folder: Path, name: str) -> dict[str, Any]:
    """Export a YOLO of random weights and write what Ultralytics' own prediction finds with it."""
    import torch
    from ultralytics import YOLO

    torch.manual_seed(0)
    model = YOLO(f"{name}.yaml")
    head = model.model.model[-1]
    for branches in (head.cv3, getattr(head, "one2one_cv3", None) or []):
        for branch in branches:
            bias = branch[-1].bias
            bias.data = torch.randn(bias.shape) * LIKELY - 2 * LIKELY
    path = model.export(format="onnx", dynamic=True)
    theirs = YOLO(path, task="segment")
    arrays: dict[str, Any] = {}
    for i, frame in enumerate(np.load(folder / "frames.npy")):
        found = theirs.predict(
            frame[..., ::-1], conf=0.25, iou=0.7, retina_masks=True, verbose=False
        )
        masks = found[0].masks
        stack = np.zeros((0, *frame.shape[:2]), bool) if masks is None else masks.data.numpy() > 0.5
        arrays[f"masks/{i}"] = stack
        arrays[f"classes/{i}"] = found[0].boxes.cls.numpy().astype(int)
        arrays[f"scores/{i}"] = found[0].boxes.conf.numpy()
    np.savez(folder / "found.npz", **arrays)
    return {"path": str(Path(path).resolve())}


def main() -> None:
    """Run one of the two, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("maskrcnn", "yolo"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("value", help="min_size, or name of the YOLO")
    args = parser.parse_args()
    if args.what == "maskrcnn":
        found = mask_rcnn(args.folder, int(args.value))
    else:
        found = yolo(args.folder, args.value)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
