// Decodes a region of each JPEG file that standard input names, and no more of the file than that
// takes: `top left height width path` per line. Two threads share the files, which are read before.
// After a blank line, every line read is answered by the seconds of one pass over them all.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>  // after stdio.h, which it needs

typedef struct {
  unsigned char *bytes;
  unsigned long size;
  unsigned int top, left, height, width;
} Task;

static Task tasks[4096];
static int count;

static void decode(const Task *task, unsigned char *rows) {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, task->bytes, task->size);
  jpeg_read_header(&jpeg, TRUE);
  jpeg.out_color_space = JCS_RGB;
  jpeg_start_decompress(&jpeg);
  JDIMENSION left = task->left, width = task->width;
  jpeg_crop_scanline(&jpeg, &left, &width);  // widens to whole blocks
  jpeg_skip_scanlines(&jpeg, task->top);
  for (unsigned int row = 0; row < task->height; row++) {
    unsigned char *line = rows + (size_t)row * width * 3;
    jpeg_read_scanlines(&jpeg, &line, 1);
  }
  jpeg_abort_decompress(&jpeg);
  jpeg_destroy_decompress(&jpeg);
}

static void *every_other(void *first) {
  unsigned char *rows = malloc(64 << 20);
  for (int i = *(int *)first; i < count; i += 2) decode(&tasks[i], rows);
  free(rows);
  return NULL;
}

static double pass(void) {
  struct timespec began, ended;
  pthread_t threads[2];
  int first[2] = {0, 1};
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, every_other, &first[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  return ended.tv_sec - began.tv_sec + 1e-9 * (ended.tv_nsec - began.tv_nsec);
}

int main(void) {
  char line[5000], path[4097];
  while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
    Task *task = &tasks[count];
    if (count == 4096 || sscanf(line, "%u %u %u %u %4096[^\n]", &task->top, &task->left,
                                &task->height, &task->width, path) != 5)
      return 1;
    FILE *file = fopen(path, "rb");
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    task->size = ftell(file);
    rewind(file);
    task->bytes = malloc(task->size);
    if (fread(task->bytes, 1, task->size, file) != task->size) return 3;
    fclose(file);
    count++;
  }
  while (fgets(line, sizeof line, stdin)) {
    printf("%.9f\n", pass());
    fflush(stdout);
  }
  return 0;
}
