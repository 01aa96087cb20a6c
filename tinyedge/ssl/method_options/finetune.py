"""Options of the method of `tinyedge.ssl.finetune`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.method_options.supervised import SupervisedOptions
from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class FinetuneOptions(SupervisedOptions):
    """What can be chosen about fine-tuning; without CutMix, which cost accuracy in few epochs of digits.

    Attributes:
        teacher_weight: Share of the loss that a teacher has, in [0, 1]; the labels have the rest.
        teacher_temperature: Divides the logits of a teacher with a classifier, and the student's beside them.
    """

    cutmix_probability: float = 0.0
    teacher_weight: float = 0.5
    teacher_temperature: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self, positive=("teacher_temperature",))
        if not 0 <= self.teacher_weight <= 1:
            raise ConfigError(
                f"teacher_weight is {self.teacher_weight}, but has to be between 0 and 1; correct teacher_weight"
            )
