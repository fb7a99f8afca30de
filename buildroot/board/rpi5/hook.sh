# shellcheck shell=bash disable=SC1091
. "$BR2_EXTERNAL_RATWALL_PATH/board/raspberrypi/pi.sh"

pre_image() { stage_pi; }
