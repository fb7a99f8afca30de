################################################################################
#
# ratwall
#
################################################################################

RATWALL_VERSION = 0.1.0
RATWALL_SITE = $(BR2_EXTERNAL_RATWALL_PATH)/..
RATWALL_SITE_METHOD = local
RATWALL_SETUP_TYPE = setuptools
RATWALL_LICENSE = Apache-2.0
RATWALL_LICENSE_FILES = LICENSE
# The fast path of the packet queue is compiled by Cython.
RATWALL_DEPENDENCIES = host-python-cython

# What a checkout gathers besides its source.
RATWALL_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = \
	--exclude /.venv --exclude /build --exclude /artifacts \
	--exclude /buildroot --exclude /rootfs-overlay --exclude /tests \
	--exclude '*.so' --exclude __pycache__ --exclude '*.egg-info'

# One account for each process; the same numbers as in the overlay's
# sysusers.d, for tools that read that.
define RATWALL_USERS
	ratwall 841 ratwall 841 * /var/lib/ratwall - - Ratwall controller
	ratwall-inspector 842 ratwall-inspector 842 * - - - Ratwall inspector
	ratwall-web 843 ratwall-web 843 * - - - Ratwall admin page
	ratwall-export 844 ratwall-export 844 * - - - Ratwall export
endef

# setup.py leaves the fast path out where it cannot be compiled: fine on a
# laptop, a third of the speed on a box.
define RATWALL_CHECK_FASTPATH
	ls $(TARGET_DIR)/usr/lib/python$(PYTHON3_VERSION_MAJOR)/site-packages/ratwall/queue/fastpath*.so
endef
RATWALL_POST_INSTALL_TARGET_HOOKS += RATWALL_CHECK_FASTPATH

$(eval $(python-package))
