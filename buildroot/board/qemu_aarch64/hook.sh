# shellcheck shell=bash disable=SC1091
. "$BR2_EXTERNAL_RATWALL_PATH/board/pc/efi.sh"

pre_image() { stage_efi bootaa64.efi; }
