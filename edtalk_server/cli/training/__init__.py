"""The actions of `edtalk train`: options, and the order of training, export, measurement and evaluation."""
