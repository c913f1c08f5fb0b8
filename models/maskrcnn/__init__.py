"""The shared network: Mask R-CNN (He et al., ICCV 2017) in Keras 3, equal to torchvision's."""
