/*
 * A sensor in plain C: opens a TCP connection and sends a reading once a second, or at the rate asked for.
 *
 *   cc -O2 -o sensor sensor.c
 *   ./sensor [-r PER_SECOND] [-n COUNT] HOST PORT ID TYPE UNIT
 *   ./sensor 127.0.0.1 15002 pad.tank-1 pressure kPa
 *
 * A record is id=...&tp=...&un=...&vl=...&ts=... with ts in milliseconds, 13 digits. Nothing stands between two
 * records: the 13th digit ends one. Values are percent-encoded.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FIELD_MAX = 128, RECORD_MAX = 1024 };

static int usage(void) {
    fprintf(stderr, "usage: sensor [-r PER_SECOND] [-n COUNT] HOST PORT ID TYPE UNIT\n");
    return 2;
}

/* Writes text with every byte but letters, digits and -._~ as %XX. Returns 0 if it does not fit. */
static int encode(const char *text, char *out, size_t size) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t at = 0;
    for (; *text != '\0'; text++) {
        if (at + 4 > size) {
            return 0;
        }
        if (strchr(plain, *text) != NULL) {
            out[at++] = *text;
        } else {
            at += (size_t)snprintf(out + at, size - at, "%%%02X", (unsigned char)*text);
        }
    }
    out[at] = '\0';
    return 1;
}

static int open_connection(const char *host, const char *port) {
    struct addrinfo hints = {0}, *found = NULL;
    hints.ai_socktype = SOCK_STREAM;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "sensor: %s:%s: %s\n", host, port, gai_strerror(error));
        return -1;
    }
    int connection = -1;
    for (struct addrinfo *each = found; each != NULL && connection < 0; each = each->ai_next) {
        connection = socket(each->ai_family, each->ai_socktype, each->ai_protocol);
        if (connection >= 0 && connect(connection, each->ai_addr, each->ai_addrlen) != 0) {
            close(connection);
            connection = -1;
        }
    }
    freeaddrinfo(found);
    if (connection < 0) {
        fprintf(stderr, "sensor: cannot connect to %s:%s: %s\n", host, port, strerror(errno));
    }
    return connection;
}

static int write_all(int connection, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(connection, bytes, count);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            fprintf(stderr, "sensor: cannot send: %s\n", strerror(errno));
            return 0;
        }
        bytes += written;
        count -= (size_t)written;
    }
    return 1;
}

int main(int argc, char **argv) {
    double rate = 1.0;
    long count = -1; /* for ever */
    int option;
    while ((option = getopt(argc, argv, "r:n:")) != -1) {
        if (option == 'r') {
            rate = strtod(optarg, NULL);
        } else if (option == 'n') {
            count = strtol(optarg, NULL, 10);
        } else {
            return usage();
        }
    }
    if (argc - optind != 5 || !(rate > 0.0 && rate <= 1e6)) {
        return usage();
    }
    char id[FIELD_MAX], type[FIELD_MAX], unit[FIELD_MAX];
    if (!encode(argv[optind + 2], id, sizeof id) || !encode(argv[optind + 3], type, sizeof type) ||
        !encode(argv[optind + 4], unit, sizeof unit)) {
        fprintf(stderr, "sensor: ID, TYPE or UNIT is too long\n");
        return 2;
    }
    /* A listener that goes away is an error of write(), not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    int connection = open_connection(argv[optind], argv[optind + 1]);
    if (connection < 0) {
        return 1;
    }

    double value = 100.0;
    unsigned int noise = 2463534242u;
    struct timespec pause;
    pause.tv_sec = (time_t)(1.0 / rate);
    pause.tv_nsec = (long)((1.0 / rate - (double)pause.tv_sec) * 1e9);
    for (long sent = 0; count < 0 || sent < count; sent++) {
        if (sent > 0) {
            nanosleep(&pause, NULL);
        }
        /* A slow random walk stands for what would be measured. */
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        value += ((double)(noise % 2001) - 1000.0) / 1000.0;

        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        long long millis = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
        char record[RECORD_MAX];
        int length = snprintf(record, sizeof record, "id=%s&tp=%s&un=%s&vl=%.3f&ts=%013lld", id, type, unit,
                              value, millis);
        if (!write_all(connection, record, (size_t)length)) {
            close(connection);
            return 1;
        }
    }
    close(connection);
    return 0;
}
