"""The tag of the wheel: its binary is static, so it runs with every C library."""

import os

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Tag(BuildHookInterface):
    def initialize(self, version, build_data):
        platforms = ["manylinux_2_17", "manylinux2014", "musllinux_1_1"]
        machine = os.environ["MACHINE"]
        build_data["tag"] = "py3-none-" + ".".join(f"{platform}_{machine}" for platform in platforms)
        build_data["pure_python"] = False
