"""What the one pass notes of every image besides its features: a fixed-size record."""

from __future__ import annotations

import numpy as np

#: One image's record. Hashes are 64 bits; the eight perceptual hashes are those of the image under the eight flips
#: and quarter turns, in the order identity, rot90, rot180, rot270, mirror, mirror+rot90, mirror+rot180, mirror+rot270.
STATISTICS = np.dtype(
    [
        ("bytes", "u8"),  # length of the file
        ("width", "u4"),  # pixels, after EXIF rotation
        ("height", "u4"),
        ("format", "S8"),  # Pillow's name: JPEG, PNG, ...
        ("mode", "S8"),  # Pillow's mode before conversion to RGB
        ("orientation", "u1"),  # EXIF, 1 to 8; 0 where absent
        ("quality", "u1"),  # JPEG quality estimated from the quantisation tables, 1 to 100; 0 where not a JPEG
        ("captured", "i8"),  # EXIF capture time, seconds since 1970; -1 where absent
        ("camera", "u8"),  # hash of EXIF maker and model; 0 where absent
        ("pixel_hash", "u8"),  # of the decoded pixels at a canonical size: equal for exact copies in any lossless file
        ("phash", "u8", (8,)),  # perceptual (DCT) hash under the eight flips and turns
        ("dhash", "u8"),  # gradient hash
        ("brightness", "f4"),  # mean luminance, 0 to 1
        ("contrast", "f4"),  # standard deviation of luminance, 0 to 0.5
        ("dark", "f4"),  # 99th percentile of luminance: low for an underexposed picture
        ("bright", "f4"),  # 5th percentile of luminance: high for an overexposed one
        ("sharpness", "f4"),  # variance of the Laplacian of luminance at 256 px short side
        ("entropy", "f4"),  # bits of the 256-bin luminance histogram, 0 to 8
        ("colourfulness", "f4"),  # mean of max channel - min channel, 0 to 1; 0 for a grey picture
        ("border", "u1", (4, 3)),  # mean RGB of the top, right, bottom and left 5 %
        ("corners", "u1", (4, 3)),  # mean RGB of the four 10 % corners: top left, top right, bottom right, bottom left
        ("thumbnail", "u1", (8, 8, 3)),  # the picture at 8 x 8
        ("grey", "u1", (32, 32)),  # luminance of the whole picture at 32 x 32, its aspect ratio not kept
    ]
)
