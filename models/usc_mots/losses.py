"""The multi-task uncertainty weighting of the DHAE's two reconstruction terms (paper, Eq. 3)."""

import keras
from keras import ops

REDUCTIONS = ("sum", "mean", "scaled_sum")
LOSSES = ("uncertainty", "equal")


@keras.saving.register_keras_serializable("usc_mots")
class UncertaintyWeighting(keras.layers.Layer):
    """Weighs mask and box reconstruction by their learned uncertainties.

    With s = log sigma^2 per term, E_m and E_b the squared errors of mask and box, the loss of one
    object, the negative logarithm of Eq. 2, is by `reduction`:

    * `"sum"`, the paper's Eq. 3 to the letter: E is the sum over the M*M*D mask values (N box
      values), and each term is `exp(-s) E / 2 + s / 2` (log sigma is s / 2).
    * `"mean"`, as the authors' code has it for real data: E is the mean over the values, and each
      term is `exp(-s) E / 2 + s`.
    * `"scaled_sum"`, as the authors' code has it for synthetic data: E is the sum, the box's
      multiplied by `box_factor`, and each term is `exp(-s) E / 2 + s`.

    At its minimum over s, every one of them leaves log E_m + log E_b up to constants; they differ
    in how long s takes to get there from its start, s_m = 1 / M^2 and s_b = 1 / N (section
    3.2.2), and so in what location weighs in Z while training lasts.

    `loss="equal"` fixes s = 0, that is sigma = 1 for both: the rows without MTL of Table 4.

    Args:
        mask_size: M, which sets the start of s_m.
        loss: "uncertainty" or "equal".
        reduction: "sum", "mean" or "scaled_sum".
        box_factor: multiplies E_b under "scaled_sum".

    Example:
        >>> weighting = UncertaintyWeighting(mask_size=28)
        >>> total, mask_error, box_error = weighting(mask, mask_out, box, box_out)
    """

    def __init__(self, mask_size, loss="uncertainty", reduction="sum", box_factor=28 * 7, **kwargs):
        super().__init__(**kwargs)
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {REDUCTIONS}. Received: {reduction!r}")
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}. Received: {loss!r}")
        self.mask_size, self.loss = mask_size, loss
        self.reduction, self.box_factor = reduction, box_factor
        learned = loss == "uncertainty"
        starts = (1 / mask_size**2, 1 / 4) if learned else (0.0, 0.0)
        self.log_variances = [
            self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(start),
                trainable=learned,
                name=f"log_variance_{name}",
            )
            for name, start in zip(("mask", "box"), starts, strict=True)
        ]
        self.built = True

    def call(self, mask, mask_out, box, box_out):
        """Return the loss and the mean squared error per value of mask and box (scalars).

        Args:
            mask: (n, M, M, D) float in [0, 1]; mask_out: its reconstruction.
            box: (n, N) float; box_out: its reconstruction.
            A reconstruction may be None: that term is left out, and its error is 0.
        """
        total, errors = 0.0, []
        for s, value, out, factor in (
            (self.log_variances[0], mask, mask_out, 1.0),
            (self.log_variances[1], box, box_out, float(self.box_factor)),
        ):
            if out is None:
                errors.append(0.0)
                continue
            squared = ops.square(value - out)
            mean = ops.mean(squared)
            errors.append(mean)
            if self.reduction != "mean":
                values = 1
                for side in squared.shape[1:]:
                    values *= side
                mean = mean * values
            if self.reduction == "scaled_sum":
                mean = mean * factor
            penalty = 0.5 * s if self.reduction == "sum" else s
            total = total + 0.5 * ops.exp(-s) * mean + penalty
        return total, *errors

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "mask_size": self.mask_size,
            "loss": self.loss,
            "reduction": self.reduction,
            "box_factor": self.box_factor,
        }
