"""Masks written in every format by pycocotools, Pillow, OpenCV, NumPy: nothing of the project."""

import itertools
import json
import zipfile

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


class Scene:
    """Objects of a video: (frame, id, class, (H, W) uint8 mask), and scores if they have some."""

    def __init__(self, objects, size, scores=None):
        self.objects, self.size, self.scores = objects, size, scores

    @classmethod
    def of(cls, detections, rows=None):
        """Return the scene of Detections."""
        rows = range(len(detections)) if rows is None else rows
        objects = [
            (
                int(detections.frames[i]),
                int(detections.ids[i]),
                int(detections.classes[i]),
                coco_mask.decode({"size": list(detections.size), "counts": detections.rles[i]}),
            )
            for i in rows
        ]
        return cls(objects, detections.size)

    @property
    def frames(self):
        """Return the frame numbers."""
        return sorted({o[0] for o in self.objects})

    @property
    def numbers(self):
        """Return {id: number from 1}."""
        return {t: i for i, t in enumerate(sorted({o[1] for o in self.objects}), 1)}

    def of_frame(self, frame):
        """Return [(id, class, mask)] of a frame."""
        return [o[1:] for o in self.objects if o[0] == frame]

    def labels(self, frame, value):
        """Return the label image of a frame; value: (id, class) -> number."""
        image = np.zeros(self.size, np.int32)
        for identity, cls, mask in self.of_frame(frame):
            image[mask > 0] = value(identity, cls)
        return image


def rle(mask):
    """Return the compressed RLE of a mask as JSON has it."""
    found = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def uncompressed(mask):
    """Return the RLE of a mask as a list of runs, column by column."""
    flat = np.concatenate([[0], mask.ravel(order="F"), [1 - mask[-1, -1]]])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(flat.astype(int)))])
    return {"size": list(mask.shape), "counts": np.diff(edges).tolist()}


def polygons(mask):
    """Return the outlines of a mask, in px, along pixel borders of an enlarged picture."""
    large = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = [(c.reshape(-1, 2) / 2 + 0.25).ravel().tolist() for c in found if len(c) > 2]
    return outlines


def coco_results(scene, folder):
    """Write a COCO results file."""
    scores = scene.scores or [1.0] * len(scene.objects)
    items = [
        {"image_id": f, "category_id": c, "segmentation": rle(m), "score": s}
        for (f, _, c, m), s in zip(scene.objects, scores, strict=True)
    ]
    return _json(folder / "seq.json", items)


def coco(scene, folder, segmentation=rle, names=None):
    """Write COCO annotations."""
    height, width = scene.size
    names = names or {1: "car", 2: "pedestrian"}
    data = {
        "images": [
            {"id": 7000 + f, "file_name": f"seq/img1/{f:06d}.jpg", "height": height, "width": width}
            for f in scene.frames
        ],
        "categories": [{"id": c, "name": n} for c, n in names.items()],
        "annotations": [
            {"id": i, "image_id": 7000 + f, "category_id": c, "segmentation": segmentation(m),
             "track_id": t, "iscrowd": 0}
            for i, (f, t, c, m) in enumerate(scene.objects)
        ],
    }  # fmt: skip
    return _json(folder / "seq.json", data)


def ytvis(scene, folder):
    """Write YouTube-VIS annotations."""
    height, width = scene.size
    tracks = {}
    for f, t, c, m in scene.objects:
        tracks.setdefault((t, c), {})[f] = rle(m)
    data = {
        "videos": [{"id": 3, "height": height, "width": width,
                    "file_names": [f"seq/{f:05d}.jpg" for f in scene.frames]}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "pedestrian"}],
        "annotations": [
            {"id": t, "video_id": 3, "category_id": c, "iscrowd": 0,
             "segmentations": [masks.get(f) for f in scene.frames]}
            for (t, c), masks in tracks.items()
        ],
    }  # fmt: skip
    return _json(folder / "seq.json", data)


def ytvis_results(scene, folder):
    """Write YouTube-VIS results: frames from the first to the last."""
    tracks = {}
    for f, t, c, m in scene.objects:
        tracks.setdefault((t, c), {})[f] = rle(m)
    frames = range(max(scene.frames) + 1)
    items = [
        {"video_id": 1, "category_id": c, "score": 1.0,
         "segmentations": [masks.get(f) for f in frames]}
        for (_, c), masks in tracks.items()
    ]  # fmt: skip
    return _json(folder / "seq.json", items)


def _json(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def mots_png(scene, folder):
    """Write 16-bit PNGs, class * 1000 + id; ids must be below 1000."""
    folder = folder / "seq"
    folder.mkdir(parents=True)
    for f in scene.frames:
        image = scene.labels(f, lambda t, c: 1000 * c + t % 1000).astype(np.uint16)
        Image.fromarray(image).save(folder / f"{f:06d}.png")
    return folder


def cityscapes(scene, folder):
    """Write Cityscapes' 16-bit instance images: cars, persons and a road around them."""
    folder = folder / "seq"
    folder.mkdir(parents=True)
    classes = {1: 26, 2: 24}
    for f in scene.frames:
        image = scene.labels(f, lambda t, c: 1000 * classes[c] + t % 1000).astype(np.uint16)
        image[image == 0] = 7
        Image.fromarray(image).save(folder / f"seq_000000_{f:06d}_gtFine_instanceIds.png")
    return folder


def davis_png(scene, folder):
    """Write PNGs with a palette."""
    folder = folder / "seq"
    folder.mkdir(parents=True)
    for f in scene.frames:
        image = Image.fromarray(
            scene.labels(f, lambda t, _: scene.numbers[t]).astype(np.uint8), mode="P"
        )
        image.putpalette([v for i in range(256) for v in (i, 255 - i, i // 2)])
        image.save(folder / f"{f:05d}.png")
    return folder


def label_png(scene, folder):
    """Write 16-bit label images."""
    folder = folder / "seq" / "masks"
    folder.mkdir(parents=True)
    for f in scene.frames:
        image = scene.labels(f, lambda t, _: scene.numbers[t]).astype(np.uint16)
        Image.fromarray(image).save(folder / f"frame_{f:04d}.png")
    return folder.parent


def tiff_files(scene, folder):
    """Write a TIFF a frame as the Cell Tracking Challenge has them."""
    folder = folder / "seq" / "TRA"
    folder.mkdir(parents=True)
    for f in scene.frames:
        image = scene.labels(f, lambda t, _: scene.numbers[t]).astype(np.uint16)
        Image.fromarray(image).save(folder / f"man_track{f:04d}.tif")
    return folder.parent


def tiff_stack(scene, folder):
    """Write one TIFF of all frames from 0."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = [
        Image.fromarray(scene.labels(f, lambda t, _: t).astype(np.int32))
        for f in range(max(scene.frames) + 1)
    ]
    pages[0].save(folder / "seq.tif", save_all=True, append_images=pages[1:])
    return folder / "seq.tif"


def yolo(scene, folder):
    """Write normalised polygons, the largest outline of each mask, a file a frame."""
    folder = folder / "seq" / "labels"
    folder.mkdir(parents=True)
    height, width = scene.size
    for f in scene.frames:
        lines = []
        for _, cls, mask in scene.of_frame(f):
            outline = np.array(max(polygons(mask), key=len)).reshape(-1, 2) / (width, height)
            lines.append(f"{cls - 1} " + " ".join(f"{v:.6f}" for v in outline.ravel()))
        (folder / f"seq_{f}.txt").write_text("\n".join(lines) + "\n")
    return folder.parent


def npz(scene, folder):
    """Write masks with frames, classes and ids."""
    folder.mkdir(parents=True, exist_ok=True)
    frames, ids, classes, masks = zip(*scene.objects, strict=True)
    columns = {"frames": frames, "ids": ids, "classes": classes}
    if scene.scores:
        columns["scores"] = scene.scores
    np.savez_compressed(folder / "seq.npz", masks=np.array(masks, bool), **columns)
    return folder / "seq.npz"


def npy(scene, folder):
    """Write label images (T, H, W) from frame 0."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = range(max(scene.frames) + 1)
    np.save(folder / "seq.npy", np.array([scene.labels(f, lambda t, _: t) for f in frames]))
    return folder / "seq.npy"


def cvat(scene, folder):
    """Write CVAT for video 1.1: masks row by row in their boxes."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = scene.size
    names = {1: "car", 2: "pedestrian"}
    step = int(np.diff(scene.frames).min())
    text = ['<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>',
            "<labels><label><name>car</name></label><label><name>pedestrian</name></label></labels>",
            f"<original_size><width>{width}</width><height>{height}</height></original_size>",
            f"<frame_filter>step={step}</frame_filter>",
            "</task></meta>"]  # fmt: skip
    for number, (t, c) in enumerate(sorted({(o[1], o[2]) for o in scene.objects})):
        text.append(f'<track id="{number}" label="{names[c]}">')
        for f, identity, cls, mask in scene.objects:
            if (identity, cls) != (t, c):
                continue
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            part = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].ravel().astype(int)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], part, [1 - part[-1]]])))
            runs = np.diff(np.concatenate([[0], edges]))
            text.append(
                f'<mask frame="{f}" outside="0" rle="{", ".join(map(str, runs))}" left="{xs[0]}" '
                f'top="{ys[0]}" width="{xs[-1] - xs[0] + 1}" height="{ys[-1] - ys[0] + 1}"/>'
            )
            if f + step not in [o[0] for o in scene.objects if (o[1], o[2]) == (t, c)]:
                text.append(
                    text[-1].replace(f'frame="{f}" outside="0"', f'frame="{f + step}" outside="1"')
                )
        text.append("</track>")
    path = folder / "seq.xml"
    path.write_text("\n".join([*text, "</annotations>"]))
    return path


def cvat_mots(scene, folder):
    """Write CVAT's MOTS zip."""
    source = mots_png(scene, folder / "png")
    path = folder / "seq.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train/instances/labels.txt", "car\npedestrian\n")
        for file in sorted(source.iterdir()):
            archive.write(file, f"train/instances/{file.name}")
    return path


def brush(mask):
    """Return Label Studio's run lengths of a mask: literal blocks of at most 8 values."""
    values = np.repeat(mask.ravel()[:, None] * 255, 4, axis=1).ravel()
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 8, 12, 16))
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    for start, stop in itertools.pairwise(edges):
        while start < stop:
            count = min(stop - start, 65536)
            bits += "1" + "11" + f"{count - 1:016b}" + f"{values[start]:08b}"
            start += count
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def label_studio(scene, folder):
    """Write a Label Studio export of image tasks."""
    height, width = scene.size
    names = {1: "car", 2: "pedestrian"}
    tasks = [
        {"id": 100 + f, "data": {"image": f"/data/upload/1/0a1b2c3d-frame_{f:05d}.png"},
         "annotations": [{"result": [
             {"type": "brushlabels", "original_width": width, "original_height": height,
              "value": {"format": "rle", "rle": brush(m), "brushlabels": [names[c]]}}
             for _, c, m in scene.of_frame(f)]}]}
        for f in scene.frames
    ]  # fmt: skip
    return _json(folder / "seq.json", tasks)


EXACT = {
    "coco-results": coco_results,
    "coco": coco,
    "coco, uncompressed": lambda scene, folder: coco(scene, folder, uncompressed),
    "ytvis": ytvis,
    "mots-png": mots_png,
    "npz": npz,
    "cvat": cvat,
    "cvat-mots": cvat_mots,
    "label-studio": label_studio,
    "ytvis-results": ytvis_results,
}
ONE_CLASS = {
    "davis": davis_png,
    "labels": label_png,
    "tiff": tiff_files,
    "tiff, stack": tiff_stack,
    "npy": npy,
}
OUTLINES = {"coco, polygons": lambda s, folder: coco(s, folder, polygons), "yolo": yolo}
