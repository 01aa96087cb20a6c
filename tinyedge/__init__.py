"""Pretrain vision encoders without labels, quantise them to INT8 and prove them bit for bit on Cortex-M."""

__version__ = "0.2.0"
