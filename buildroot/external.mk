# Sources of Python packages that Buildroot does not have: laid ready by scripts/image, from the
# project's own list of pinned packages.
RATWALL_PYTHON_SOURCES = $(BR2_EXTERNAL_RATWALL_PATH)/../build/image/python-sources

include $(sort $(wildcard $(BR2_EXTERNAL_RATWALL_PATH)/package/*/*.mk))

# An option of a fragment that the kernel silently drops would be found by nobody: without NFT_QUEUE
# the box forwards everything and inspects nothing.
define RATWALL_CHECK_KERNEL
	$(BR2_EXTERNAL_RATWALL_PATH)/scripts/check-kernel-config \
		$(LINUX_DIR)/.config \
		$(call qstrip,$(BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES))
endef
LINUX_POST_CONFIGURE_HOOKS += RATWALL_CHECK_KERNEL
