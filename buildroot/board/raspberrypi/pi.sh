# What all Raspberry Pi boards have in common. Sourced by their hooks.
# shellcheck shell=bash

# stage_pi: which slot starts on bootsel, firmware, kernel and its command line in the slot.
#
# An update writes one and the same file system into either slot, so the slot's number decides in
# config.txt which of two command lines is taken.
stage_pi() {
  local here=$BR2_EXTERNAL_RATWALL_PATH/board/raspberrypi boot=$ROOTPATH/boot slot
  cp "$here/autoboot.txt" "$ROOTPATH/bootsel/autoboot.txt"
  cp "$here/config.txt" "$boot/config.txt"
  cp "$BINARIES_DIR/$KERNEL_FILE" "$boot/kernel8.img"
  cp "$BINARIES_DIR"/*.dtb "$boot/"
  find "$BINARIES_DIR/rpi-firmware" -maxdepth 1 \( -name '*.elf' -o -name '*.dat' \) \
    -exec cp -t "$boot" {} +
  for slot in a b; do
    echo "root=PARTLABEL=root-$slot rootfstype=squashfs ro rootwait panic=10" \
      "console=tty1 console=$CONSOLE rauc.slot=${slot^^}" > "$boot/cmdline-$slot.txt"
  done
}
