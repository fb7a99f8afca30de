################################################################################
#
# python-netfilterqueue
#
################################################################################

PYTHON_NETFILTERQUEUE_VERSION = 1.1.0
PYTHON_NETFILTERQUEUE_SOURCE = NetfilterQueue-$(PYTHON_NETFILTERQUEUE_VERSION).tar.gz
PYTHON_NETFILTERQUEUE_SITE = $(RATWALL_PYTHON_SOURCES)
PYTHON_NETFILTERQUEUE_SITE_METHOD = file
PYTHON_NETFILTERQUEUE_SETUP_TYPE = setuptools
PYTHON_NETFILTERQUEUE_LICENSE = MIT
PYTHON_NETFILTERQUEUE_LICENSE_FILES = LICENSE.txt
PYTHON_NETFILTERQUEUE_DEPENDENCIES = host-python-cython libnetfilter_queue

# The release ships C code made by an old Cython, which new Pythons refuse:
# generate it again.
define PYTHON_NETFILTERQUEUE_REMOVE_GENERATED
	rm -f $(@D)/netfilterqueue/_impl.c
endef
PYTHON_NETFILTERQUEUE_POST_PATCH_HOOKS += PYTHON_NETFILTERQUEUE_REMOVE_GENERATED

$(eval $(python-package))
