"""The networks of LambdaML in PyTorch, under the same names, and what reads model files.

For tests and benchmarks; runs with Debian's python3-torch.
"""
import os
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

# Last: the package itself is preferred where it is.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "stand_ins"))
from safetensors import safe_open

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
DEVIATION = torch.tensor([0.2470, 0.2435, 0.2616]).view(3, 1, 1)


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = conv(inputs, inputs, 3, stride, inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class MobileNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = conv(3, 32, 3)
        self.bn1 = nn.BatchNorm2d(32)
        blocks, inputs = [], 32
        for outputs, stride in [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + 5 * [(512, 1)] + [
                (1024, 2), (1024, 1)]:
            blocks.append(Separable(inputs, outputs, stride))
            inputs = outputs
        self.layers = nn.Sequential(*blocks)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        return self.linear(F.avg_pool2d(x, 2).flatten(1))


class Basic(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = conv(inputs, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or inputs != width:
            self.downsample = nn.Sequential(conv(inputs, width, 1, stride), nn.BatchNorm2d(width))

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = conv(inputs, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(conv(inputs, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))

    def forward(self, x):
        out = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(out)) + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's, but for the first convolution and the missing max pooling."""

    def __init__(self, block, blocks, classes=10):
        super().__init__()
        self.conv1 = conv(3, 64, 3)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for stage, count in enumerate(blocks):
            width, layer = 64 << stage, []
            for i in range(count):
                layer.append(block(inputs, width, 2 if stage > 0 and i == 0 else 1))
                inputs = width * (4 if block is Bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layer))
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(F.avg_pool2d(x, 4).flatten(1))


def make(name, classes=10):
    return {"mobilenet": lambda: MobileNet(classes),
            "resnet18": lambda: ResNet(Basic, [2, 2, 2, 2], classes),
            "resnet34": lambda: ResNet(Basic, [3, 4, 6, 3], classes),
            "resnet50": lambda: ResNet(Bottleneck, [3, 4, 6, 3], classes),
            "resnet101": lambda: ResNet(Bottleneck, [3, 4, 23, 3], classes),
            "resnet152": lambda: ResNet(Bottleneck, [3, 8, 36, 3], classes)}[name]()


def read_safetensors(path):
    """Name → tensor; the metadata."""
    file = safe_open(path, "pt")
    return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def read_images(path):
    """Images of a CIFAR-10 file, normalized, and their labels."""
    raw = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.uint8).reshape(-1, 3073)
    images = raw[:, 1:].reshape(-1, 3, 32, 32).float() / 255
    return (images - MEAN) / DEVIATION, raw[:, 0].long()
