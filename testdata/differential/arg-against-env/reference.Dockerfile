FROM 127.0.0.1:5000/library/busybox
ENV x=env
RUN echo env > /first
ENV y=env
RUN echo command > /second
ENV z=env-command
