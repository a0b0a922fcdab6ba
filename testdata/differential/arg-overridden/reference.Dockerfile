FROM 127.0.0.1:5000/library/busybox
RUN echo 1 given > /1
RUN echo 2 given > /2
