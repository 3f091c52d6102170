/* Bytes of images, and their labels, from files of these names. */
  .section .rodata.images, "a"
  .global images, images_end, labels
images:
  .incbin "images"
images_end:
labels:
  .incbin "labels"
  .section .note.GNU-stack, "", %progbits
