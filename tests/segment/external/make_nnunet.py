"""Writes a tiny, untrained but real nnU-Net v2 training folder; run by a Python that has nnunetv2.

Usage: python make_nnunet.py FOLDER 2d|3d_fullres FOLDS [names of the labels 1, 2, ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def write(folder: Path, configuration: str, folds: int, names: list[str]) -> None:
    """Write dataset.json, plans.json and one checkpoint for each fold."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    flat = configuration == "2d"
    kernel = [3, 3] if flat else [3, 3, 3]
    resampling = {
        "is_seg": False,
        "order": 1,
        "order_z": 0,
        "force_separate_z": None,
    }
    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 8],
            "conv_op": f"torch.nn.modules.conv.Conv{len(kernel)}d",
            "kernel_sizes": [kernel, kernel],
            "strides": [[1] * len(kernel), [2] * len(kernel)],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{len(kernel)}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    settings = {
        "data_identifier": "tiny",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [32, 32] if flat else [8, 32, 32],
        "median_image_size_in_voxels": [32, 32] if flat else [8, 32, 32],
        "spacing": [2.0, 2.0] if flat else [4.0, 2.0, 2.0],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": architecture,
        "batch_dice": False,
    }
    plans = {
        "dataset_name": "Dataset999_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [4.0, 2.0, 2.0],
        "original_median_shape_after_transp": [8, 32, 32],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: settings},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 0.0, "std": 1.0, "percentile_00_5": 0.0, "percentile_99_5": 1.0}
        },
    }
    dataset = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, **{name: n for n, name in enumerate(names, start=1)}},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    manager = PlansManager(plans)
    for fold in range(folds):
        torch.manual_seed(fold)
        network = nnUNetTrainer.build_network_architecture(
            manager, manager.get_configuration(configuration), 1, len(names) + 1,
            enable_deep_supervision=False,
        )  # fmt: skip
        place = folder / f"fold_{fold}"
        place.mkdir(exist_ok=True)
        torch.save(
            {
                "network_weights": network.state_dict(),
                "trainer_name": "nnUNetTrainer",
                "init_args": {"configuration": configuration},
                "inference_allowed_mirroring_axes": None,
            },
            place / "checkpoint_final.pth",
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:])
