################################################################################
#
# python-peewee
#
################################################################################

PYTHON_PEEWEE_VERSION = 4.5.3
PYTHON_PEEWEE_SOURCE = peewee-$(PYTHON_PEEWEE_VERSION).tar.gz
PYTHON_PEEWEE_SITE = $(RATWALL_PYTHON_SOURCES)
PYTHON_PEEWEE_SITE_METHOD = file
PYTHON_PEEWEE_SETUP_TYPE = setuptools
PYTHON_PEEWEE_LICENSE = MIT
PYTHON_PEEWEE_LICENSE_FILES = LICENSE

$(eval $(python-package))
