/* thumbnails.c: a thumbnail of each image in a folder, by a pool of workers.
 *
 *     thumbnails FROM TO [SIDE]
 *
 * FROM/NAME.ppm (binary PPM, "P6") becomes TO/NAME.ppm, no side longer than SIDE (64), by a box filter. What is not such an image is named with
 * the reason, and the others go on. Exit status: 0; 1: some failed; 2: the folders, or the pool, cannot be had.
 *
 * Memory does not grow with the number of files: the queue is bounded, and a job works in one of a few slots, which come back through a channel. Who has
 * listed a file waits until a slot is free.
 */
#define _POSIX_C_SOURCE 200809L
#define WEIR_IMPLEMENTATION
#include "weir.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SIDE_MAX = 20000 };

struct folders {
    const char *from, *to;
    int side;
};

/* What one job works with; the buffer grows to what its largest image needs, and stays. */
struct slot {
    const struct folders *folders;
    char name[NAME_MAX + 1];
    const char *why; /* it failed */
    unsigned char *pixels;
    size_t room;
};

typedef weir_chan(struct slot *) slots;

/* ---- images ---- */

struct image {
    int width, height;
    unsigned char *pixels; /* three bytes each */
};

/* A number of the head; comments go to the end of their line. -1: there is none, or it is too large. */
static int head_number(FILE *in)
{
    int c = getc(in), n = 0;
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF)
                c = getc(in);
        c = getc(in);
    }
    if (c < '0' || c > '9')
        return -1;
    for (; c >= '0' && c <= '9'; c = getc(in))
        if ((n = 10 * n + (c - '0')) > SIDE_MAX)
            return -1;
    return c == EOF ? -1 : n; /* one white space is read with it */
}

/* NULL, or what is wrong. The pixels lie in the slot. */
static const char *read_image(FILE *in, struct slot *s, struct image *image)
{
    size_t size;
    int most;
    if (getc(in) != 'P' || getc(in) != '6')
        return "not a binary PPM";
    image->width = head_number(in);
    image->height = head_number(in);
    most = head_number(in);
    if (image->width < 1 || image->height < 1)
        return "no sizes, or too large";
    if (most != 255)
        return "not 8 bits a color";
    size = (size_t)image->width * (size_t)image->height * 3;
    if (size > s->room) {
        unsigned char *larger = (unsigned char *)realloc(s->pixels, size);
        if (larger == NULL)
            return "no memory for it";
        s->pixels = larger;
        s->room = size;
    }
    image->pixels = s->pixels;
    return fread(s->pixels, 1, size, in) == size ? NULL : "truncated";
}

/* The mean of a box of pixels becomes one. In place: a pixel is never written before it has been read, as the small image is not wider. */
static void shrink(struct image *image, int side)
{
    const int longer = image->width > image->height ? image->width : image->height;
    const int width = longer <= side ? image->width : (int)((long)image->width * side / longer);
    const int height = longer <= side ? image->height : (int)((long)image->height * side / longer);
    const int w = width < 1 ? 1 : width, h = height < 1 ? 1 : height;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const long top = (long)y * image->height / h, bottom = (long)(y + 1) * image->height / h;
            const long left = (long)x * image->width / w, right = (long)(x + 1) * image->width / w;
            unsigned long sum[3] = {0, 0, 0};
            const unsigned long n = (unsigned long)(bottom - top) * (unsigned long)(right - left);
            for (long i = top; i < bottom; i++)
                for (long j = left; j < right; j++)
                    for (int c = 0; c < 3; c++)
                        sum[c] += image->pixels[(i * image->width + j) * 3 + c];
            for (int c = 0; c < 3; c++)
                image->pixels[((long)y * w + x) * 3 + c] = (unsigned char)((sum[c] + n / 2) / n);
        }
    image->width = w;
    image->height = h;
}

static const char *write_image(const char *path, const struct image *image)
{
    const size_t size = (size_t)image->width * (size_t)image->height * 3;
    FILE *out = fopen(path, "wb");
    bool written;
    if (out == NULL)
        return "cannot write the thumbnail";
    written = fprintf(out, "P6\n%d %d\n255\n", image->width, image->height) > 0 &&
              fwrite(image->pixels, 1, size, out) == size;
    if (fclose(out) != 0 || !written) {
        (void)remove(path); /* no half of one */
        return "cannot write the thumbnail";
    }
    return NULL;
}

/* ---- the job ---- */

static int thumbnail(weir_ctx *ctx, void *arg)
{
    struct slot *s = (struct slot *)arg;
    char path[PATH_MAX];
    struct image image = {0, 0, NULL};
    FILE *in = NULL;
    (void)ctx;
    s->why = NULL;
    if (snprintf(path, sizeof path, "%s/%s", s->folders->from, s->name) >= (int)sizeof path)
        s->why = "its path is too long";
    else if ((in = fopen(path, "rb")) == NULL)
        s->why = "cannot open it";
    else
        s->why = read_image(in, s, &image);
    if (in != NULL)
        fclose(in);
    if (s->why == NULL) {
        shrink(&image, s->folders->side);
        s->why = snprintf(path, sizeof path, "%s/%s", s->folders->to, s->name) >= (int)sizeof path
                     ? "its path is too long"
                     : write_image(path, &image);
    }
    return s->why == NULL ? 0 : EIO;
}

/* Called once for each job, by its worker: the slot may be used again. */
static void gives_back(const weir_job_result *result, void *arg)
{
    struct slot *s = (struct slot *)result->output;
    if (result->error != 0)
        fprintf(stderr, "thumbnails: %s/%s: %s\n", s->folders->from, s->name, s->why);
    (void)weir_send(NULL, *(slots *)arg, &s); /* there is room for all of them */
}

static int submit_all(DIR *dir, weir_pool *pool, slots *idle)
{
    const struct dirent *entry;
    const weir_job_opt opt = {.name = "thumbnail", .done = gives_back, .done_arg = idle};
    int files = 0;
    while ((entry = readdir(dir)) != NULL) {
        const size_t size = strlen(entry->d_name);
        struct slot *s;
        if (size < 4 || strcmp(entry->d_name + size - 4, ".ppm") != 0)
            continue;
        if (weir_recv(NULL, *idle, &s) != 0) /* waits until one is free */
            break;
        memcpy(s->name, entry->d_name, size + 1);
        if (weir_pool_submit(NULL, pool, thumbnail, s, &opt) != 0)
            break;
        files++;
    }
    return files;
}

int main(int argc, char **argv)
{
    const struct folders folders = {argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "", argc > 3 ? atoi(argv[3]) : 64};
    const int count = 4 * weir_cpu_count();
    struct slot *all = (struct slot *)calloc((size_t)count, sizeof *all);
    weir_pool pool;
    weir_pool_tally tally;
    struct rusage usage;
    slots idle;
    DIR *dir;
    int files;
    if (argc < 3 || argc > 4 || folders.side < 1) {
        fprintf(stderr, "usage: thumbnails FROM TO [SIDE]\n");
        return 2;
    }
    if ((dir = opendir(folders.from)) == NULL) {
        fprintf(stderr, "thumbnails: %s: %s\n", folders.from, strerror(errno));
        return 2;
    }
    if (mkdir(folders.to, 0777) != 0 && errno != EEXIST) {
        fprintf(stderr, "thumbnails: %s: %s\n", folders.to, strerror(errno));
        return 2;
    }
    if (all == NULL || weir_chan_make(&idle, (size_t)count) != 0 ||
        weir_pool_start(&pool, NULL, &(weir_pool_opt){.queue = (size_t)count}) != 0) {
        fprintf(stderr, "thumbnails: no memory or no threads\n");
        return 2;
    }
    for (int i = 0; i < count; i++) {
        struct slot *s = &all[i];
        s->folders = &folders;
        (void)weir_send(NULL, idle, &s);
    }
    files = submit_all(dir, &pool, &idle);
    (void)weir_pool_drain(NULL, &pool);
    weir_pool_stats(&pool, &tally);
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("%d files, %d failed, at most %ld KiB\n", files, (int)tally.failed, usage.ru_maxrss);
    weir_pool_free(&pool);
    weir_chan_free(&idle);
    for (int i = 0; i < count; i++)
        free(all[i].pixels);
    free(all);
    closedir(dir);
    return tally.failed != 0;
}
